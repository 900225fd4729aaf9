"""Sources, the producer, backend clients and the processes around them. Knows nothing of Faust."""
