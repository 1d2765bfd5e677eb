"""A polite HTTP client, and the readers of what it brings.

`addresses` decides where a socket may connect; `client` makes one request within every limit; `sites` knows what a site
allows (`robots`, `reservations`); `turns` paces the requests to a host across all processes; `visitor` puts them together,
and every visit ends with a body or a reason. `fetcher` visits the pictures of a shard and keeps them in a `scratch` store.
`spider` visits pages and reads pictures off them: `page` combines what `markup` and `structured` (JSON-LD through `json_ld`)
find, `feeds` reads feeds and sitemaps (repaired by `xml_text`), and `urls` and `renditions` decide a picture's address.
"""
