# Two images from one file: `server` (exportcenter, stella) and `temporal` (the
# embedded Temporal cluster, the same program that `exportcenter up` starts).
#
#   docker build --target server   -t exportcenter .
#   docker build --target temporal -t exportcenter-temporal .

FROM golang:1.26-bookworm AS source
ENV CGO_ENABLED=0 GOFLAGS="-trimpath -buildvcs=false"
WORKDIR /src

FROM source AS build-temporal
COPY devserver/go.mod devserver/go.sum devserver/
RUN cd devserver && go mod download
COPY devserver devserver
RUN cd devserver && go build -ldflags '-s -w' -o /out/exportcenter-temporal .

FROM source AS build-server
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ARG VERSION=dev
RUN go build -ldflags "-s -w -X main.version=$VERSION" -o /out/ ./cmd/exportcenter ./cmd/stella

# Nobody in here is root. A volume mounted on /data takes over its owner.
FROM debian:bookworm-slim AS runtime
RUN useradd --uid 65532 --no-create-home --shell /usr/sbin/nologin exportcenter \
    && install -d -o exportcenter -g exportcenter -m 0700 /data /run/exportcenter
# For issuers whose key sets are fetched over HTTPS.
COPY --from=source /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
USER exportcenter
WORKDIR /data

FROM runtime AS temporal
COPY --from=build-temporal /out/exportcenter-temporal /usr/local/bin/
ENTRYPOINT ["exportcenter-temporal"]
CMD ["--config", "/etc/exportcenter/temporal.json"]

FROM runtime AS server
COPY --from=build-server /out/exportcenter /out/stella /usr/local/bin/
ENTRYPOINT ["exportcenter"]
CMD ["--help"]
