/** Works on items, so many at once. The first failure is the end: items that were not begun are left, and it is thrown. */
export async function forEachAtOnce<Item>(items: readonly Item[], most: number, work: (item: Item) => Promise<void>): Promise<void> {
  let next = 0;
  const worker = async () => {
    while (next < items.length)
      try {
        await work(items[next++]);
      } catch (error) {
        next = items.length;
        throw error;
      }
  };
  await Promise.all(Array.from({ length: Math.min(most, items.length) }, worker));
}
