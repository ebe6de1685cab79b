"""Reports as HTML: pages for files, pieces for notebooks, charts as inline SVG."""
