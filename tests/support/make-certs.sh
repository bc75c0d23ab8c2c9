#!/bin/sh
# SPDX-License-Identifier: MIT
# Make the certificates of the tests: make-certs.sh CERTTOOL DIRECTORY STAMP
#
# Keys are ECDSA because they are made in no time; one RSA pair is there for what ECDSA does not
# show. Nothing here is secret, and nothing is trusted by anybody but the tests.
set -eu

certtool=$1
dir=$2
stamp=$3
rm -rf "$dir"
mkdir -p "$dir"
case $stamp in
/*) ;;
*) stamp=$PWD/$stamp ;;
esac
cd "$dir"

names='dns_name = "localhost"
ip_address = "127.0.0.1"
ip_address = "::1"'
server='signing_key
tls_www_server'

# key NAME [certtool options]
key() {
    name=$1
    shift
    "$certtool" --generate-privkey "$@" --outfile "$name.key" 2>>certtool.log
}

# sign NAME CA CN EXTRA: a certificate for NAME.key by CA.pem; CA "-" signs itself
sign() {
    {
        printf 'cn = "%s"\n' "$3"
        case $4 in
        *expiration_date*) ;;
        *) printf 'expiration_days = 3650\n' ;;
        esac
        printf '%s\n' "$4"
    } >"$1.tmpl"
    if [ "$2" = - ]; then
        "$certtool" --generate-self-signed --load-privkey "$1.key" --template "$1.tmpl" \
            --outfile "$1.pem" 2>>certtool.log
    else
        "$certtool" --generate-certificate --load-privkey "$1.key" --template "$1.tmpl" \
            --load-ca-certificate "$2.pem" --load-ca-privkey "$2.key" \
            --outfile "$1.pem" 2>>certtool.log
    fi
}

for name in ca other-ca client-ca server expired wrongname selfsigned unknown nosan wildcard \
    client stranger; do
    key "$name" --key-type=ecdsa --curve=secp256r1
done
key server-rsa --key-type=rsa --bits=2048

for name in ca other-ca client-ca; do
    sign "$name" - "aioduct test $name" 'ca
cert_signing_key'
done
sign server ca localhost "$names
$server"
sign server-rsa ca localhost "$names
$server
encryption_key"
sign expired ca localhost "$names
$server
activation_date = \"2019-01-01 00:00:00\"
expiration_date = \"2020-01-01 00:00:00\""
sign wrongname ca wrong.test "dns_name = \"wrong.test\"
$server"
sign nosan ca localhost "$server"
sign wildcard ca wildcard "dns_name = \"*.wild.test\"
$server"
sign selfsigned - localhost "$names
$server"
sign unknown other-ca localhost "$names
$server"
sign client client-ca "test client" 'signing_key
tls_www_client'
sign stranger other-ca "test stranger" 'signing_key
tls_www_client'

"$certtool" --to-p8 --load-privkey client.key --password secret --no-text \
    --outfile client-encrypted.key 2>>certtool.log
cat client.pem client.key >client-both.pem
printf 'this is no certificate\n' >garbage.pem
rm -f ./*.tmpl
touch "$stamp"
