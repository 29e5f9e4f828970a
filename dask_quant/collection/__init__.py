"""Collections of images: what is done to them, where, and how a job keeps account of them."""
