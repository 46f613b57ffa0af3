"""Images as noise, optics, weather, codecs and cameras leave them, in five severities."""
