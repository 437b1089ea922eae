"""Reads an otpauth:// URI from standard input and prints the code of now, as an authenticator app would."""

import sys

import pyotp

totp = pyotp.parse_uri(sys.stdin.read().strip())
print(totp.now())
