"""Results that travel: folders merged into one, and a static site of the leaderboard."""
