"""Models as encoders, images to arrays and texts to arrays: one module for each kind of side, and one door to them."""
