"""Labels and palettes to bytes: one module per family of formats, loaded when it is used."""
