//! Archives (zip, tar, tar.gz) unpacked safely to a scratch folder. Owns the limits; knows nothing of what is inside.
