FROM rust:1.95-bookworm AS build
WORKDIR /source
COPY . .
RUN cargo build --release --locked --package integrations

FROM debian:bookworm-slim
# What the client of Kafka speaks TLS with.
RUN apt-get update && apt-get install -y --no-install-recommends libssl3 && rm -rf /var/lib/apt/lists/*
RUN useradd --system --uid 10001 --home-dir /data --create-home integrations && chmod 0700 /data
COPY --from=build /source/target/release/integrations /usr/local/bin/integrations
# Whom to trust over TLS: the keys of an identity provider are fetched.
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
ENV INTEGRATIONS_DATA_DIR=/data INTEGRATIONS_LISTEN=0.0.0.0:8080
VOLUME /data
EXPOSE 8080
USER integrations
# The image has no HTTP client; bash can speak to a socket.
HEALTHCHECK --interval=10s --timeout=3s --start-period=60s --start-interval=1s \
    CMD ["bash", "-c", "exec 3<>/dev/tcp/127.0.0.1/8080 && printf 'GET /readyz HTTP/1.0\\r\\n\\r\\n' >&3 && read -r _ status _ <&3 && [ \"$status\" = 200 ]"]
ENTRYPOINT ["/usr/local/bin/integrations"]
CMD ["serve"]
