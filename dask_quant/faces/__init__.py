"""Faces: they parse, call one public function, and show. Policy lives below."""
