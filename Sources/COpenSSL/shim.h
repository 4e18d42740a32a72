// SPDX-License-Identifier: Apache-2.0
// OpenSSL's calls that are macros; Swift calls these instead.
#ifndef SNIMOK_COPENSSL_H
#define SNIMOK_COPENSSL_H

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/hmac.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stddef.h>

/// Without OpenSSL's clean-up at exit, which would run while threads still use it.
static inline int copenssl_initialize(void) { return OPENSSL_init_ssl(OPENSSL_INIT_NO_ATEXIT, NULL); }

/// Versions 1.2 and 1.3 with these suites, groups and signatures; no renegotiation, compression or resumption.
static inline int copenssl_set_profile(SSL_CTX *context, const char *suites_1_2, const char *suites_1_3,
                                       const char *groups, const char *signatures) {
    SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_CIPHER_SERVER_PREFERENCE |
                                     SSL_OP_NO_TICKET | SSL_OP_IGNORE_UNEXPECTED_EOF);
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_security_level(context, 2);
    return SSL_CTX_set_num_tickets(context, 0) && SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION) &&
           SSL_CTX_set_cipher_list(context, suites_1_2) && SSL_CTX_set_ciphersuites(context, suites_1_3) &&
           SSL_CTX_set1_groups_list(context, groups) && SSL_CTX_set1_sigalgs_list(context, signatures);
}

/// Reads as much as is there in one call, up to `bytes`.
static inline void copenssl_set_read_ahead(SSL_CTX *context, size_t bytes) {
    SSL_CTX_set_read_ahead(context, 1);
    SSL_CTX_set_default_read_buffer_len(context, bytes);
}

static inline int copenssl_set_server_name(SSL *ssl, const char *name) { return (int)SSL_set_tlsext_host_name(ssl, name); }

static inline void copenssl_retry_read(BIO *bio) { BIO_set_retry_read(bio); }
static inline void copenssl_clear_retry(BIO *bio) { BIO_clear_retry_flags(bio); }
static inline int copenssl_bio_type(void) { return BIO_get_new_index() | BIO_TYPE_SOURCE_SINK; }

static inline int copenssl_is_verification_failure(unsigned long error) {
    return ERR_GET_LIB(error) == ERR_LIB_SSL && ERR_GET_REASON(error) == SSL_R_CERTIFICATE_VERIFY_FAILED;
}

/// What `copenssl_for_each_name` hands out: UTF-8 of `length` bytes, or the 4 or 16 bytes of an address.
typedef void (*copenssl_name)(void *context, int is_address, const unsigned char *bytes, size_t length);

/// The common names of the subject and the alternative names: DNS, address, mail, URI.
static inline void copenssl_for_each_name(X509 *certificate, copenssl_name body, void *context) {
    X509_NAME *subject = X509_get_subject_name(certificate);
    for (int at = -1; (at = X509_NAME_get_index_by_NID(subject, NID_commonName, at)) >= 0;) {
        unsigned char *text = NULL;
        int length = ASN1_STRING_to_UTF8(&text, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at)));
        if (length >= 0) {
            body(context, 0, text, (size_t)length);
            OPENSSL_free(text);
        }
    }
    GENERAL_NAMES *names = X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);
    for (int at = 0; at < sk_GENERAL_NAME_num(names); at++) {
        const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, at);
        if (name->type != GEN_DNS && name->type != GEN_EMAIL && name->type != GEN_URI && name->type != GEN_IPADD) continue;
        const ASN1_STRING *value = name->type == GEN_IPADD ? name->d.iPAddress : name->d.ia5;
        body(context, name->type == GEN_IPADD, ASN1_STRING_get0_data(value), (size_t)ASN1_STRING_length(value));
    }
    GENERAL_NAMES_free(names);
}

#endif
