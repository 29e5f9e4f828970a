"""From a histogram to a palette: `boxes` sorts colours by cell, `kmeans` fits, `refine` finishes."""
