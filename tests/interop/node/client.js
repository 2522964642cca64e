// Calls by node-soap: client.js URL OPERATION JSON [VERSION]. Prints the answer as JSON, or `fault STRING`.
// With a fourth argument, the header {urn:example:orders}Version.
const soap = require('soap');

const [url, operation, input, version] = process.argv.slice(2);

async function main() {
  const client = await soap.createClientAsync(`${url}?wsdl`, { endpoint: url });
  if (version) {
    client.addSoapHeader({ Version: version }, '', 'o', 'urn:example:orders');
    client.wsdl.xmlnsInEnvelope += ' xmlns:o="urn:example:orders"';
  }
  const [answer] = await client[`${operation}Async`](JSON.parse(input));
  console.log(JSON.stringify(answer));
}

main().catch((error) => {
  const fault = error.root && error.root.Envelope && error.root.Envelope.Body.Fault;
  if (!fault) {
    console.error(error.message);
    process.exitCode = 1;
    return;
  }
  console.log('fault', fault.faultstring || fault.Reason.Text);
});
