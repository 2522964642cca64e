// The service `notes`, by node-soap. Says on stdout which port it got.
// It is started with NODE_PATH set to where the package was installed.
const fs = require('fs');
const http = require('http');
const path = require('path');
const soap = require('soap');

const description = fs.readFileSync(path.join(__dirname, 'notes.wsdl'), 'utf8');
const service = {
  Notes: {
    Notes: {
      Note({ Text }) {
        if (Text === 'fail') {
          throw { Fault: { faultcode: 'soap:Server', faultstring: 'node was told to fail' } };
        }
        return { By: 'node', Text };
      },
    },
  },
};
const server = http.createServer((request, response) => response.writeHead(404).end());
server.listen(0, '127.0.0.1', () => {
  soap.listen(server, '/node', service, description);
  console.log(server.address().port);
});
