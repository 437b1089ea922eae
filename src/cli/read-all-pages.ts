const PAGE_SIZE = 500;

/** Reads a whole list in pages. Each page starts after the last id of the previous one; a short page is the last. */
export async function readAllPages<Row extends { readonly id: string }>(
  readPage: (page: { afterId: string | null; limit: number }) => Promise<readonly Row[]>,
): Promise<Row[]> {
  const rows: Row[] = [];
  for (;;) {
    const page = await readPage({ afterId: rows.at(-1)?.id ?? null, limit: PAGE_SIZE });
    rows.push(...page);
    if (page.length < PAGE_SIZE) return rows;
  }
}
