export default async function Interview({ params }: { params: Promise<{ id: string }> }) {
  const { id } = await params;
  return (
    <main>
      <h1>Interview {id}</h1>
    </main>
  );
}
