"""The API's secrets: where they are found, where they may go, how they are kept out of texts."""
