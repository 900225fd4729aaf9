"""`headrace sink`: a receiver for development that keeps what it got and proves that nothing is missing."""
