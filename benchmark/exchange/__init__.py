"""Export of scans and volumes to the formats of other programs, and import of volumes from them."""
