"""What the HTML pages share: charts, formatted scores, embedded pictures, the story of the data, and templates."""
