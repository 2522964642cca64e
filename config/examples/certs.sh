#!/bin/sh
# Makes what samples 10 and 11 need in certs/: an authority, the certificates of two hosts and that of a caller.
# For tries only: whoever has this folder can be anybody.
set -eu
mkdir -p certs
cd certs
exec 2> openssl.log
new="-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes"
openssl req -x509 $new -days 365 -subj "/CN=An authority for tries" -keyout ca.key -out ca.pem
# NAME HOST USE
issue() {
  openssl req $new -subj "/CN=$1" -keyout "$1.key" -out request.pem
  printf 'subjectAltName=DNS:%s\nextendedKeyUsage=%s\n' "$2" "$3" > extensions
  openssl x509 -req -in request.pem -CA ca.pem -CAkey ca.key -CAcreateserial -days 365 \
    -extfile extensions -out "$1.pem"
}
issue orders.example.com orders.example.com serverAuth
issue stock.example.com stock.example.com serverAuth
issue partner partner.example.com clientAuth
