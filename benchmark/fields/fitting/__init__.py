"""Parts that training loops share: measured rays, losses by rays, regularisers, optimisers, precision, and the last fit to the data."""
