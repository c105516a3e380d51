"""Models, in folders named after how p(x) is represented."""
