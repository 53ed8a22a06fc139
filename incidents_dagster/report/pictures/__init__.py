"""The pictures of the report, a module for each, with the sentences beside it.

Each makes a `Picture` of the figures; `all_pictures` has them in the order of the page.
"""
