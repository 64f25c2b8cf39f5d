//! Side-cars of data sets, the small files beside the recordings, as tables of text. Owns their grammars; knows nothing of data sets or SQL.
