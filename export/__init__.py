"""Export: trained runs become files for devices, and every file gets a verdict."""
