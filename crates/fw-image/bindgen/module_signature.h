/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/*
 * What the end of a signed kernel module looks like: the interface facts of Linux 6.18.15,
 * include/linux/module_signature.h, with its names and its order, without its types and functions.
 * src/modsig/sys.rs is made from this file by bindgen; tests/modsig_bindgen.rs compares the two.
 */

#define MODULE_SIG_STRING "~Module signature appended~\n"

enum pkey_id_type {
	PKEY_ID_PGP,
	PKEY_ID_X509,
	PKEY_ID_PKCS7,
};

struct module_signature {
	unsigned char algo;
	unsigned char hash;
	unsigned char id_type;
	unsigned char signer_len;
	unsigned char key_id_len;
	unsigned char __pad[3];
	/* big-endian */
	unsigned int sig_len;
};
