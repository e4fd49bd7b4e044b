"""The application: one module per service, the command line, the demo."""
