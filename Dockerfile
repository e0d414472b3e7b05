# The gateway alone: no development provider, no shell user, nothing that writes outside /var/lib/countersign.
#   docker build -t countersign .
#   docker run -v ./countersign.yaml:/etc/countersign/countersign.yaml:ro -p 9000:9000 countersign

FROM rust:1.95-slim-bookworm AS build
WORKDIR /src
COPY Cargo.toml Cargo.lock ./
COPY src src
COPY templates templates
# The manifest names the tests and benches; their sources need not be here to build the binary, but the paths must.
COPY tests tests
COPY benches benches
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    cargo build --release --locked --no-default-features --bin countersign \
    && cp target/release/countersign /countersign

FROM debian:bookworm-slim
# Identity providers are called over TLS, so their authorities must be known.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates \
    && rm -rf /var/lib/apt/lists/* \
    && install -d -o 65532 -g 65532 -m 0700 /var/lib/countersign
COPY --from=build /countersign /usr/local/bin/countersign
# A number, so that Kubernetes can see that it is not root.
USER 65532:65532
VOLUME /var/lib/countersign
EXPOSE 9000 9001
ENTRYPOINT ["countersign"]
CMD ["serve", "--config", "/etc/countersign/countersign.yaml"]
