"""What clouds want to see in every request: a signature (AWS), a token that somebody must fetch (Azure, Google)."""
