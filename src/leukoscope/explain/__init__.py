"""Where in a picture p comes from: Grad-CAM, its figure, its command."""
