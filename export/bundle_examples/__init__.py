"""Programs of a bundle that run its file on its images: templates, which `export.bundle` fills in."""
