"""p(x) = prod_i p(x_i | x_<i)."""
