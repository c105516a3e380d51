"""p(x) written down."""
