"""The API's secrets: where they are found, where they may go, how they stay out of texts."""
