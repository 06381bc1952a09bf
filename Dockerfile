# syntax=docker/dockerfile:1

# Everything C is bundled (SQLite, libpq, OpenSSL): the builder needs a C compiler, make, and the whole of perl.
FROM rust:1.95-slim-bookworm AS build
# Debian keeps one version at a time, so a pinned one would break the build at the next point release.
# hadolint ignore=DL3008
RUN apt-get update \
 && apt-get install -y --no-install-recommends make perl \
 && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    cargo build --release --locked --bin postern \
 && install -D -m 0755 target/release/postern /out/usr/local/bin/postern \
 && install -d -m 0700 /out/var/lib/postern

# glibc, libgcc and nothing else: no shell, no package manager, user 65532. Root certificates are inside the binary.
FROM gcr.io/distroless/cc-debian12:nonroot
COPY --from=build --chown=65532:65532 /out/var/lib/ /var/lib/
COPY --from=build /out/usr/local/bin/postern /usr/local/bin/postern
COPY LICENSE-MIT LICENSE-APACHE /usr/share/doc/postern/
ENV POSTERN_LISTEN=0.0.0.0:8080 \
    POSTERN_DATA_DIR=/var/lib/postern
USER 65532:65532
VOLUME ["/var/lib/postern"]
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=5s --start-period=20s --retries=3 CMD ["/usr/local/bin/postern", "health"]
ENTRYPOINT ["/usr/local/bin/postern"]
CMD ["serve"]
