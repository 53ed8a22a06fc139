"""One request and its response: the session, retries, pace, deadline and network errors."""
