//! How the API server is reached: addresses, TLS, credentials.
