"""The model of MODEL.md section 2, without the improvements."""
