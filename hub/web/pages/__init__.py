"""The pages: HTML for people, over the same functions as the API; each works without JavaScript."""
