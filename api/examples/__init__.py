"""Complete hosts, each small enough to read in one sitting; the tests run them."""
