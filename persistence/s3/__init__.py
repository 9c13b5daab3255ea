"""Storage on S3, or on anything that speaks it."""
