#!/bin/bash
# A memcached and a client, a program with a function in its environment, DNS and HTTP on loopback.
memcached -u nobody -l 127.0.0.1 -p 11211 -t 1 -m 8 & server=$!
for try in 1 2 3 4 5 6 7 8 9; do exec 3<>/dev/tcp/127.0.0.1/11211 && break; sleep 0.2; done 2>/dev/null
printf 'set greeting 0 60 5\r\nhello\r\n' >&3; read -r line <&3
printf 'get greeting\r\n' >&3; read -r line <&3; read -r line <&3; read -r line <&3
printf 'set big:object 0 60 2000\r\n%02000d\r\n' 7 >&3; read -r line <&3
printf 'get big:object\r\n' >&3; read -r line <&3; read -r line <&3; read -r line <&3
printf 'get nothing\r\n' >&3; read -r line <&3
printf 'delete greeting\r\n' >&3; read -r line <&3
exec 3<&-
env 'x=() { :;}; echo vulnerable' /bin/bash -c :
env 'HTTP_USER_AGENT=() { :; }; /bin/cat /etc/hostname' /bin/sh -c :
./chisel_load .
kill $server; wait $server
