"""Published sets of videos and captions: their metadata read, taken in and checked, and what is known of them."""
