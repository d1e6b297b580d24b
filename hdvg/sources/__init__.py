"""Where videos come from: lists of links, and the guarded fetch of one of them."""
