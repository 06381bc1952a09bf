DROP TABLE upstream_tls;
