"""The server of `leukoscope serve`: a registered model behind HTTP, and a page to drop cells on."""
