"""From a histogram to a palette: `boxes` sorts colours, `kmeans` fits, `refine` finishes."""
