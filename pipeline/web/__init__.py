"""A polite HTTP client.

`polite_client` puts the parts together: every request ends with a response or with an error that states a reason. `client`
makes one request within every limit, `addresses` decides which addresses a socket may connect to, `sites` caches what a site
allows (`robots`, `reservations`), `rate_limiter` paces the requests to a host across processes. `page_cache` and `scratch`
keep what was received.
"""
