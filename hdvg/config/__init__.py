"""What a user may set: the recipe, its sections, its rules."""
